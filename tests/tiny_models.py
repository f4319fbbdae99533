"""Tiny random transformers models, made in a moment and saved to a folder as real ones are."""

WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    *"abcdefghijklmnopqrstuvwxyz",
    *"0123456789",
    ".",
    ",",
    "?",
    ":",
    "\n",
]
TEMPLATE = (
    "{% for m in messages %}<s> {{ m['role'] }} : {{ m['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<s> assistant :{% endif %}"
)


def tokenizer(*, pad=True, chat=False):
    """Make a tokenizer of single characters that forgets white space and begins each text with a token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate([*WORDS, "user", "assistant", "system"])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"user|assistant|system|\S|\n"), "removed", invert=True)
    inner.decoder = decoders.Fuse()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    if pad:
        special["pad_token"] = "<pad>"
    made = PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    if chat:
        made.chat_template = TEMPLATE
    return made


def _save(make, config, folder, seed, made):
    """Save a model with weights drawn from a seed, large enough that tokens differ clearly in probability."""
    import torch

    torch.set_num_threads(1)  # matrices of this size are done sooner than two threads agree on a busy machine
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make(config)
        for weight in model.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return str(folder)


def save_llama(folder, *, seed=0, pad=True, chat=False, **config):
    """Save a Llama of two layers with rotary positions; return its folder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    made = tokenizer(pad=pad, chat=chat)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"vocab_size": len(made), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0 if pad else None}
    made_config = LlamaConfig(**{**size, "max_position_embeddings": 128, **ids, **config})
    return _save(LlamaForCausalLM, made_config, folder, seed, made)


def save_gpt2(folder, *, seed=0, pad=False, chat=False, **config):
    """Save a GPT-2 of two layers with learnt positions and, at first, no padding token; return its folder."""
    from transformers import GPT2Config, GPT2LMHeadModel

    made = tokenizer(pad=pad, chat=chat)
    size = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    ids = {"vocab_size": len(made), "bos_token_id": 1, "eos_token_id": 2}
    return _save(GPT2LMHeadModel, GPT2Config(**{**size, **ids, **config}), folder, seed, made)


def save_bert_classifier(folder, *, seed=0, labels=("bad", "fair", "good")):
    """Save a BERT classifier of two layers; return its folder."""
    from transformers import BertConfig, BertForSequenceClassification

    made = tokenizer()
    config = BertConfig(
        vocab_size=len(made),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    return _save(BertForSequenceClassification, config, folder, seed, made)


def save_gpt2_classifier(folder, *, seed=0, n_labels=1, pad=True):
    """Save a GPT-2 that scores its last token, as reward models do; return its folder."""
    from transformers import GPT2Config, GPT2ForSequenceClassification

    made = tokenizer(pad=pad, chat=True)
    size = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    ids = {"vocab_size": len(made), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0 if pad else None}
    config = GPT2Config(**size, **ids, num_labels=n_labels)
    return _save(GPT2ForSequenceClassification, config, folder, seed, made)


make_causal_folder = save_llama
