"""Pages in the browser, served by one small local server: drawing (`play`), curating a dataset, rating a run's drawings."""
