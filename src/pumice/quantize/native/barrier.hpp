// Where the threads of one job meet between its stages: far cheaper than ending the job and starting another.
#pragma once
#include <atomic>
#include <thread>

#include "relax.hpp"

namespace pumice {

class Barrier {
public:
    // For so many threads, while none is here.
    void expect(int count) { count_ = count; }

    void wait() {
        if (count_ == 1) return;
        const int round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == count_ - 1) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int look = 0; round_.load(std::memory_order_acquire) == round; ++look) {
            relax();
            if (look > PATIENCE) std::this_thread::yield();  // more threads than free processors
        }
    }

private:
    static constexpr int PATIENCE = 5000;
    int count_ = 1;
    std::atomic<int> arrived_{0};
    std::atomic<int> round_{0};
};

}  // namespace pumice
