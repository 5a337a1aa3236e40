// Does nothing: the cost of starting any program at all.

int main() { return 0; }
