"""What the verbs of the command line do; each is imported only when it is called."""
