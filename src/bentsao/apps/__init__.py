"""What a person touches: command line, chat, server, page, experiments, reports. Wires the other rooms together."""
