"""A run as a page that people look at.

In: a run's folder, however far it is. Out: one HTML file, in English or Korean, without a script or a request. It
never works out what `evaluate` has not measured: what is not there is left out, and the page says why.

report      the verb: read, draw, write
gathered    what there is of a run, and what is not
page        the page, section by section
vocabulary  sections on text and tokens
training    the section on training
outcome     sections on what was learned, promises and cost
charts      drawings, by Altair
markup      tables, figures, tokens as boxes; all text escaped
words       what is said, in two languages
"""
