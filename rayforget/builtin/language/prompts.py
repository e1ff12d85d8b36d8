"""An item -> its prompt and right answer, in the formats that the shipped model was pretrained on."""

from rayforget.builtin.language.relations import Item


def prompt_and_answer(item: Item) -> tuple[str, str]:
    """The prompt, and the right answer with the space before it; a text has no prompt."""
    if "text" in item:
        return "", item["text"]
    return prompt(item), f" {item['output'] if 'output' in item else item['choices'][item['answer']]}"


def prompt(item: Item) -> str:
    """The prompt of a multiple choice or instruction item, up to the colon before the answer."""
    if "instruction" in item:
        given = f"Input: {item['input']}\n" if "input" in item else ""
        return f"Instruction: {item['instruction']}\n{given}Output:"
    context = f"{item['context']}\n" if "context" in item else ""
    return f"{context}Question: {item['question']}\nAnswer:"
