"""What is done to drawings after a generator made them: pure functions on index grids."""
