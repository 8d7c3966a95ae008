"""What goes on doing harm, in a process of its own. Each `run` does so as long as it may."""
