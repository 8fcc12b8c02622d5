"""A corpus, whatever it is kept in, as batches of documents.

In: files, a frame, an iterable, and how they are to be read. Out: documents in a fixed order, and each fault by its
file and place. It never knows what a tokenizer is, and never leaves out a document in silence.

blocks     a file of lines → blocks of whole lines, up to where it is damaged; or the engine's reader of plain ones
tables     a Parquet file or a frame → documents
streams    an Arrow file → documents
delimited  .csv and .tsv → documents
values     what the engine finds in a piece of a file, and whole JSON → documents
formats    a file, whatever it is kept in → documents
repeats    which documents stood there before
readers    several files of a corpus at a time, in whatever order or in theirs
documents  a corpus → batches of documents
"""
