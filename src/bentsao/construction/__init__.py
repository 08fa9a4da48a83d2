"""Knowledge → conversations to learn from: the composer, the teacher, filters, splits. No torch here."""
