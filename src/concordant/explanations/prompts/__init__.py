"""What moves a language model's choice: Shapley values of the named parts of a prompt.

A prompt is written as a template with named fields; a field that is absent is deleted or has a neutral filler, and the
value of a set of fields is how much the model then favours an option. What each field brings is its Shapley value; fields
that should not decide (politeness, fillers) make up the noise share. Only outputs are needed, so that closed models can
be explained, too.

Mohammadi (2024), Explaining large language models decisions using Shapley values, arXiv:2404.01332. How an absent field is
written is not said there; the two rules are ours.
"""

from __future__ import annotations

from concordant.explanations.prompts.explain import explain_prompt as explain_prompt
from concordant.explanations.prompts.explanation import PromptExplanation as PromptExplanation
from concordant.explanations.prompts.explanation import template_stability as template_stability
from concordant.explanations.prompts.template import Field as Field
from concordant.explanations.prompts.template import PromptTemplate as PromptTemplate

__all__ = ["Field", "PromptExplanation", "PromptTemplate", "explain_prompt", "template_stability"]
