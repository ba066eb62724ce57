#include "barrier.hpp"

#include <thread>

#include "relax.hpp"

namespace pumice {
namespace {

constexpr int PATIENCE = 5000;

}  // namespace

void Barrier::expect(int count) { count_ = count; }

void Barrier::wait() {
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

}  // namespace pumice
