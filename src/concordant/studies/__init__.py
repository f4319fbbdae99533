"""Papers whose claims can be run, and the catalogue of all of them."""
