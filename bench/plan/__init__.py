"""Words to options, options to an ordered list of cases: pure, standard library only."""
