"""Sources: each module yields Sprites with caption, tags, source, licence and attribution."""
