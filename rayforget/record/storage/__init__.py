"""Where a record lies: folders here and object stores, who may write, and retries."""
