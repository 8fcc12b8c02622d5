"""What a fit would cost.

In: the settings of a fit. Out: bytes a device, FLOPs and hours of each stage, and what does not fit. It never reads a
weight, and never touches a GPU.

plan         the verb
coverage     a verb too: how often a run would see each new token
forecast     what can be told of the data before it is packed
setup        what is planned for, read from the settings
costs        what a stage costs, from shapes alone
meta_models  models that are all shapes, plain and in 4 bits
activations  what a forward pass keeps for the backward pass
table        what a plan says, a row a stage
"""
