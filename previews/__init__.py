"""What a node will do, before it runs: the route that pages ask, and what its answers rest on."""
