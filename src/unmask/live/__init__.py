"""Sound that is under way: one stem of a stream, through pipes and through sound cards."""
