// Threads that wait for work, so that a multiplication of tens of microseconds can use several.
#pragma once
#include <functional>

namespace pumice {

// How many threads `together` uses, this one included; 0 chooses the number of processors.
void set_threads(int count);
int threads();

// Call job(index, count) for every index below count, each on a thread of its own, and return when all are done.
// Callers on several threads take turns. `prepare(count)` is called first, alone, once the turn has come.
void together(const std::function<void(int)>& prepare, const std::function<void(int, int)>& job);
void together(const std::function<void(int, int)>& job);

}  // namespace pumice
