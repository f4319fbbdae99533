"""The catalogue of papers: what each does and claims, where its method is, and which of its claims have been run.

`concordant.studies.catalogue.entries` reads it, `concordant.studies.catalogue.ranking` searches it and
`concordant.studies.catalogue.bibtex` cites from it. One YAML file holds the papers of one counterpart, the answer
to *consistent with what?*
"""
