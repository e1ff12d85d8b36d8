"""Language models -> likelihoods, answers, scores."""
