"""One process: started, watched, limited, ended; nothing of it is left behind."""
