// Counts words with the containers and streams of C++, with a destructor that must run.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct Farewell {
	~Farewell() { std::cout << "farewell" << std::endl; }
};

int main(int argc, char **argv)
{
	Farewell farewell;
	std::map<std::string, int> counts;
	std::ifstream file;
	if (argc > 1)
		file.open(argv[1]);
	std::istream &input = argc > 1 ? file : std::cin;
	if (!input) {
		std::cerr << argv[1] << ": can't be opened" << std::endl;
		return 3;
	}
	for (std::string word; input >> word;)
		counts[word]++;
	std::vector<std::pair<std::string, int>> sorted(counts.begin(), counts.end());
	std::stable_sort(sorted.begin(), sorted.end(), [](auto &a, auto &b) { return a.second > b.second; });
	auto total = std::make_unique<int>(0);
	for (auto &[word, count] : sorted) {
		std::cout << word << ' ' << count << '\n';
		*total += count;
	}
	std::cout << "total " << *total << '\n';
	return 0;
}
