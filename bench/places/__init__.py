"""Where launches happen: on this machine, or on the nodes of a cluster, each with a program of ours that launches."""
