"""The procedural reef: geometry → parts (pen) → index planes (render), one module of body plans a category."""
