"""Documents into token files.

In: a corpus and a tokenizer. Out: the token ids of its documents, and which of them are held out. It never reads a
special token out of a document's text, unless that is asked for.

source       what is packed, and how it becomes blocks
encoders     documents → token ids: the engine, or the library
encoding     a tokenizer as packing uses it: template, end, special tokens
splitting    which documents are held out
kept         what is kept meanwhile, to go on after it was killed
memo         what files were found to hold, so that they are read once
packed       token files as they are read, and whether they are what was written
megatron     the index by which Megatron-LM reads them
token_files  documents → token files
"""
