"""kovocab: adapt an English language model to Korean by vocabulary expansion."""
