"""The LightningModule: its loss is the model's own, it loads what expand leaves, the Trainer runs it."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn import functional

from kovocab.errors import ArtefactError, ModelError, UsageError
from kovocab.expanding.split_rows import save_plain
from kovocab.freezing.callback import StageFreezing
from kovocab.model.causal_lm import CausalLM
from kovocab.record import write_record
from kovocab.run.learning_rate import WarmupCosine
from kovocab.stages import STAGES
from support import records
from support.models import QUIET, ROWS, Packed, expanded, ids, tiny

torch.set_num_threads(1)
adamw = partial(torch.optim.AdamW, lr=1e-2)


def loaded(folder, *arguments):
    module = CausalLM(str(folder), *arguments)
    module.configure_model()
    return module


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize("tied", [False, True])
def test_loss_and_gradients_are_the_model_s_own(architecture, tied, tmp_path):
    settings = {"tie_word_embeddings": tied, "attention_dropout": 0.0}
    module = loaded(expanded(tmp_path / "model", architecture, **settings))
    plain = tiny(architecture, **settings).train()
    batch = ids()
    labels = batch.masked_fill(ids(2).bool(), -100)
    loss = module(batch, labels)
    wanted = plain(input_ids=batch, labels=labels).loss
    torch.testing.assert_close(loss, wanted, atol=1e-6, rtol=1e-6)
    loss.backward()
    wanted.backward()
    halves = module.loaded.get_input_embeddings()
    grad = torch.cat([halves.input_old.grad, halves.input_new.grad])
    torch.testing.assert_close(grad, plain.get_input_embeddings().weight.grad, atol=1e-6, rtol=1e-5)
    name = "model.layers.1.self_attn.q_proj.weight"
    torch.testing.assert_close(
        module.loaded.get_parameter(name).grad, plain.get_parameter(name).grad, atol=1e-6, rtol=1e-5
    )
    torch.testing.assert_close(module(batch), plain(batch).logits, atol=1e-6, rtol=1e-6)


def test_loads_once_in_train_mode_in_the_dtype_asked_for(tmp_path):
    folder = expanded(tmp_path / "model", "phi", dtype=torch.bfloat16)
    module = CausalLM(str(folder))
    with pytest.raises(ModelError, match="not loaded yet"):
        module(ids())
    module.configure_model()
    model = module.loaded
    assert all(part.training for part in model.modules())  # from_pretrained leaves eval, and phi-2 has dropout
    assert model.dtype == torch.bfloat16
    module.configure_model()
    assert module.loaded is model
    assert loaded(folder, adamw, None, "float32").loaded.dtype == torch.float32
    assert dict(module.hparams) == {}


def test_folders_that_do_not_fit(tmp_path):
    folder = expanded(tmp_path / "model")
    write_record(folder, {"verb": "export"})
    with pytest.raises(ArtefactError, match="wanted one made by `kovocab expand or fit`"):
        loaded(folder)
    for first in (0, 100):
        write_record(folder, records.expanded(first, ROWS))
        with pytest.raises(ModelError, match=f"the first new id is {first}"):
            loaded(folder)
    with pytest.raises(ArtefactError, match="not an artefact"):
        loaded(tmp_path)


def test_fit_validate_test_and_predict(tmp_path):
    scheduler = partial(WarmupCosine, warmup_steps=2, total_steps=24)
    module = CausalLM(str(expanded(tmp_path / "model")), adamw, scheduler)
    trainer = Trainer(max_epochs=1, enable_checkpointing=False, **QUIET)
    data = Packed(high=12)
    before = trainer.validate(module, data, verbose=False)[0]["loss/val"]
    trainer.fit(module, data)
    assert "loss/train" in trainer.callback_metrics
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0  # 24 steps of 24
    after = trainer.validate(module, data, verbose=False)[0]["loss/val"]
    assert after < before - 1
    assert trainer.test(module, data, verbose=False)[0]["loss/test"] == pytest.approx(after)
    losses = torch.cat([batch["loss"] for batch in trainer.predict(module, data)])
    assert losses.shape == (48,)
    assert losses.mean().item() == pytest.approx(after, rel=1e-5)
    logits = module(data.rows[0]["input_ids"][None])[0, :-1]
    wanted = functional.cross_entropy(logits, data.rows[0]["input_ids"][1:])
    torch.testing.assert_close(losses[0], wanted.detach())


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_stage_goes_on_where_its_checkpoint_stopped(tmp_path):
    """Bit-equal to the run that was never interrupted: weights, optimizer, schedule."""
    folder = expanded(tmp_path / "model", "phi")
    scheduler = partial(WarmupCosine, warmup_steps=2, total_steps=48)

    def run(name, epochs, **settings):
        module = CausalLM(str(folder), adamw, scheduler)
        saving = ModelCheckpoint(tmp_path / name, save_last=True)
        callbacks = [StageFreezing.from_stage(STAGES["eeve"][2]), saving]
        trainer = Trainer(max_epochs=epochs, callbacks=callbacks, **QUIET)
        trainer.fit(module, Packed(), **settings)
        assert trainer.global_step == 24 * epochs
        return module

    whole = run("whole", 2)
    half = run("half", 1)
    assert not torch.equal(half.loaded.lm_head.output_new, whole.loaded.lm_head.output_new)
    resumed = run("resumed", 2, ckpt_path=tmp_path / "half" / "last.ckpt")
    for (name, value), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(value, other), name
    checkpoint = torch.load(tmp_path / "half" / "last.ckpt", weights_only=True)
    assert "model.lm_head.output_new_bias" in checkpoint["state_dict"]  # two blocks: no state-dict hooks
    assert len(checkpoint["optimizer_states"][0]["state"]) == 3

    save_plain(resumed.loaded, tmp_path / "stage")
    write_record(tmp_path / "stage", records.trained(90, ROWS))
    again = loaded(tmp_path / "stage")
    assert torch.equal(again(ids()), resumed(ids()))


def test_warmup_cosine():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = WarmupCosine(optimizer, warmup_steps=4, total_steps=12, minimum=0.1)
    rates = []
    for _ in range(14):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates[8] == pytest.approx(1.1)
    assert rates[12:] == pytest.approx([0.2, 0.2])
    with pytest.raises(UsageError, match="warmup_steps is 13 of 12"):
        WarmupCosine(optimizer, 13, 12)
