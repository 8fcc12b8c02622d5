"""What does not train does not move.

In: a module and the patterns of what trains. Out: a fit in which the rest keeps its bits, or that fails. It never
knows a model, an embedding or a language: anyone's LightningModule will do.

callback  StageFreezing, for anyone's module
digest    did a tensor move?
"""
