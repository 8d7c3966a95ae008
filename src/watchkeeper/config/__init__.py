"""Configuration: YAML with `${ENV}`, checked whole, every fault at once; and the environment."""
