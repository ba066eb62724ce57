// Where the threads of one job meet between its stages: far cheaper than ending the job and starting another.
#pragma once
#include <atomic>

namespace pumice {

class Barrier {
public:
    // For so many threads, while none is here.
    void expect(int count);
    // Not inline: one path's copy of it must not become another's (see half.hpp).
    void wait();

private:
    int count_ = 1;
    std::atomic<int> arrived_{0};
    std::atomic<int> round_{0};
};

}  // namespace pumice
