"""What a model reads of a product and a query: the recipe, the tokens, the pair."""

from rerank_core.text.pairs import TextEncoder
from rerank_core.text.recipe import DEFAULT_RECIPE, ProductTextRecipe, clean
from rerank_core.text.tokens import PackedTokens

__all__ = ["DEFAULT_RECIPE", "PackedTokens", "ProductTextRecipe", "TextEncoder", "clean"]
