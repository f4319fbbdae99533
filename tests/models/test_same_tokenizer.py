import pytest
from tokenizers import normalizers

from concordant.core.errors import ConfigError
from concordant.models.huggingface import load_huggingface
from concordant.models.same_tokenizer import same_tokenizer
from tiny_models import save_gpt2, tokenizer


def test_equal_ones(llama, tmp_path):
    same_tokenizer(tokenizer(), tokenizer())
    same_tokenizer(tokenizer(), tokenizer(chat=True))  # the template decides what is tokenised, not how
    same_tokenizer(load_huggingface(llama), tokenizer(chat=True))
    same_tokenizer(load_huggingface(llama).language_model, load_huggingface(save_gpt2(tmp_path, pad=True)))


def test_the_first_difference_is_named():
    plain, more, other, lower = (tokenizer() for _ in range(4))
    more.add_tokens(["zzz"])
    with pytest.raises(ConfigError, match=r"one has 48 tokens and the other 49; the first .* 48, 'zzz'"):
        same_tokenizer(plain, more)
    other.eos_token = "<s>"
    with pytest.raises(ConfigError, match="eos_token is '</s>' in one and '<s>' in the other"):
        same_tokenizer(plain, other)
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(ConfigError, match="their normalizer differs"):
        same_tokenizer(plain, lower)
    with pytest.raises(ConfigError, match="pad_token is '<pad>' in one and None in the other"):
        same_tokenizer(plain, tokenizer(pad=False))


def test_what_has_no_tokenizer():
    with pytest.raises(ConfigError, match="a tokenizer, or a model that has one, is needed, got a str"):
        same_tokenizer(tokenizer(), "gpt2")
