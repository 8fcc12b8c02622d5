"""The settings of plan, fit, validate, test and predict that people use, a line each."""

_STAGES, _HELD_OUT = ("fit", "plan"), ("validate", "test", "predict")
_ALL = (*_STAGES, *_HELD_OUT)

USED: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "the run": {
        "model.model": (_ALL, "folder that expand, or a stage of a run, left; for plan a base too"),
        "schedule": (_STAGES, "eeve (seven stages), kosolar (one) or a list: what trains when"),
        "run": (("fit",), "folder of the stages and logs; the same command again goes on in it"),
        "checkpoint_every": (("fit",), "optimizer steps between checkpoints"),
        "evaluate_stages": (("fit",), "measure bits per byte of each source at the end of each stage"),
        "predictions": (("predict",), "the Parquet file to write"),
    },
    "the machine that is planned for": {
        "gpu": (("plan",), "by its name, H100 say; also the default where the trainer is not a cpu's"),
        "memory": (("plan",), "of a device, 24GiB say; by default the GPU's"),
        "mfu": (("plan",), "share of the GPU's peak that is used"),
        "new_tokens": (("plan",), "of a base, which is not expanded yet"),
        "pad_to_multiple_of": (("plan",), "of a base: what expand will round its rows up to"),
        "log": (("plan",), "text, a table, or json, an object a stage"),
    },
    "data": {
        "data.sources": (_ALL, "[{name: web, corpus: web.jsonl, weight: 1}]: what is mixed, by weight"),
        "data.length": (_ALL, "tokens of a block"),
        "data.batch_size": (_ALL, "blocks in a batch of a device"),
        "data.validation_share": (("fit", *_HELD_OUT), "share of the documents to hold out"),
        "data.tokens_dir": (("fit", *_HELD_OUT), "folder of the packed tokens, which runs may share"),
        "data.special_tokens_in_text": (
            ("fit", *_HELD_OUT),
            "what a literal </s> in a document is: text, or that token",
        ),
    },
    "stages": {
        "defaults.lr": (("fit",), "highest learning rate of a stage"),
        "defaults.steps": (_STAGES, "length of a stage, in optimizer steps"),
        "defaults.tokens": (_STAGES, "or in tokens"),
        "stages": (_STAGES, "settings of single stages, by number: --stages.1.lr 1e-4"),
    },
    "how it is computed": {
        "trainer.devices": (_ALL, "how many devices"),
        "trainer.strategy": (_ALL, "how a model is spread over them: ddp, or a class that shards"),
        "trainer.precision": (_ALL, "bf16-mixed, bf16-true or 32-true"),
        "trainer.accumulate_grad_batches": (_STAGES, "batches in an optimizer step"),
        "model.activation_checkpointing": (_STAGES, "compute each layer again instead of keeping what is in it"),
        "model.qlora": (_STAGES, "hold layers in 4 bits and train LoRA: --model.qlora.rank 64"),
        "trainer.limit_val_batches": (("validate",), "how many batches, or which share of them"),
        "trainer.limit_test_batches": (("test",), "how many batches, or which share of them"),
        "trainer.limit_predict_batches": (("predict",), "how many batches, or which share of them"),
    },
}
"""The settings that people use, in groups, each with the verbs that it is for."""

REQUIRED = ("model.model", "data.sources")
