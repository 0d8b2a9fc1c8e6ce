"""Ways into a network: how what a site returns is taken and given."""
