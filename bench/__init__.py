"""How the workloads are measured. What the worlds share needs the standard library only."""
