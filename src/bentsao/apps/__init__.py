"""What a person touches: the command line, the terminal chat, the demo. Wires the other rooms together."""
