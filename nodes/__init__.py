"""The nodes: schema text, build a method, attach it."""
