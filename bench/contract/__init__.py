"""What the worlds share: words, records, files. Standard library only; imports nothing else of bench."""
