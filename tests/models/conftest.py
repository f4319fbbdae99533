import pytest


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """Folder of a tiny Llama with a chat template."""
    from tiny_models import save_llama

    return save_llama(tmp_path_factory.mktemp("llama"), chat=True)


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory):
    """Folder of a tiny GPT-2 without padding token and chat template."""
    from tiny_models import save_gpt2

    return save_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """Folder of a tiny BERT classifier with the labels bad, fair and good."""
    from tiny_models import save_bert_classifier

    return save_bert_classifier(tmp_path_factory.mktemp("bert"))
