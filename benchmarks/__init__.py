"""What is timed: `python -m benchmarks` from the project's root. See README.md beside this file."""
