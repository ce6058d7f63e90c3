"""Pages in the browser, served by one small local server: drawing by hand (`play`)."""
