"""How the tokens of a launch of task generate are divided, which plan and worker both know; standard library only."""

GENERATIONS = 4  # of a launch, each from other prompts
PROMPT = 1 / 4  # of the context


def prompt_of(context: int) -> int:
    """How many tokens of a context are the prompt."""
    return max(1, round(PROMPT * context))
