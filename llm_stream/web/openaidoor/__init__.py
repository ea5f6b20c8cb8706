"""What speaks OpenAI's chat completions and Responses, over the same runs as every other wire."""
