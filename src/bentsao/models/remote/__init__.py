"""A model behind an OpenAI-style API: calls, rate limits, a budget, and a journal so that nothing is paid twice.

Whoever asks one (the teacher that writes data, a judge, an engine) brings the requests and reads the replies.
"""
