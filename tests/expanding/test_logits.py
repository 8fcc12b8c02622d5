"""How logits come from a head's product, as configurations say it."""

import pytest
import torch
from transformers import AutoConfig, LlamaConfig

from kovocab.errors import ModelError
from kovocab.expanding.logits import PLAIN, LogitForm, check_loss

FORMS = {
    "llama": PLAIN,
    "phi": PLAIN,
    "gemma": PLAIN,
    "gemma2": LogitForm(cap=30.0),
    "nanochat": LogitForm(cap=15.0),
    "recurrent_gemma": LogitForm(cap=30.0),
    "cohere": LogitForm(factor=0.0625),
    "cohere2": LogitForm(factor=0.0625),
}


@pytest.mark.parametrize("kind", FORMS)
def test_what_a_kind_says_by_default(kind):
    assert LogitForm.of(AutoConfig.for_model(kind)) == FORMS[kind]


def test_the_same_number_is_multiplied_by_divided_by_and_put_before_the_head():
    assert LogitForm.of(AutoConfig.for_model("granite", logits_scaling=8.0)) == LogitForm(divisor=8.0)
    assert LogitForm.of(AutoConfig.for_model("hyperclovax", logits_scaling=8.0)) == LogitForm(factor=8.0)
    of_states = AutoConfig.for_model("minicpm3", hidden_size=256, num_attention_heads=8, dim_model_base=64)
    assert LogitForm.of(of_states) == LogitForm(states_divisor=4.0)


@pytest.mark.parametrize("form", [LogitForm(cap=2.0), LogitForm(factor=0.5), LogitForm(divisor=4.0, cap=2.0), PLAIN])
def test_slopes_are_the_derivative(form):
    product = torch.linspace(-9, 9, 41, dtype=torch.float64, requires_grad=True)
    logits = product * (form.factor or 1) / (form.divisor or 1)
    logits = logits if form.cap is None else form.cap * torch.tanh(logits / form.cap)
    (wanted,) = torch.autograd.grad(logits.sum(), product)
    torch.testing.assert_close(form.apply_(product.detach().clone()), logits.detach())
    found = form.slopes(logits.detach().float())
    expected = torch.ones(41) if found is None else torch.as_tensor(found).expand(41)
    torch.testing.assert_close(expected, wanted.float(), atol=1e-6, rtol=1e-5)


def test_a_cap_is_rounded_as_its_kind_rounds_it():
    product = torch.linspace(-9, 9, 41).bfloat16()
    plain, exact = LogitForm(cap=2.0).apply_(product.clone()), LogitForm(cap=2.0, cap_in_fp32=True).apply_(product)
    assert (plain.dtype, exact.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(plain.float(), exact, atol=0.02, rtol=0)


@pytest.mark.parametrize(("key", "value"), [("output_router_logits", True), ("z_loss_coefficient", 0.001)])
def test_what_adds_to_the_loss_is_named_before_long_work(key, value):
    check_loss(LlamaConfig(**{key: type(value)()}), "expanded")
    with pytest.raises(ModelError, match=rf"expanded/config.json has {key} {str(value).lower()}, so llama adds"):
        check_loss(LlamaConfig(**{key: value}), "expanded")
