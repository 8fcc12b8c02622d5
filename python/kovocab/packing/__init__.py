"""Documents into token files.

In: a corpus and a tokenizer. Out: the token ids of its documents, and which of them are held out. It never reads a
special token out of a document's text, unless that is asked for.

encoding     documents → token ids, and measures of them
splitting    which documents are held out
memo         what files were found to hold, so that they are read once
packed       token files as they are read, and whether they are what was written
token_files  documents → token files
"""
