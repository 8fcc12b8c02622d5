"""A LightningModule over two blocks of rows.

In: an expanded model and a batch of ids. Out: a loss. It never knows which stage is trained: what requires a gradient
was decided before it is asked.

causal_lm      the LightningModule: next-token training of two blocks
cross_entropy  the loss over two blocks, in pieces
head_rows      the head's rows, in blocks: logits and sums of gradients
softmax        a softmax over blocks of rows that come one by one
documents      documents of one block that do not see each other
qlora          layers in 4 bits, LoRA, merged at the end
loading        a plain folder into two blocks, tensor by tensor, whole or sharded
tensor_files   weights a tensor at a time
fsdp           FSDP2 over the strategy's mesh
"""
