#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#ifdef _WIN32
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif
#include "relax.hpp"

namespace pumice {
namespace {

// Looks before a thread goes to sleep: about 50 microseconds. Layers follow each other faster than that.
constexpr int LOOKS = 2000;

class Pool {
public:
    explicit Pool(int count) : count_(count), process_(getpid()) {
        for (int index = 1; index < count; ++index) workers_.emplace_back([this, index] { work(index); });
    }

    ~Pool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
            round_.fetch_add(1);
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }

    int count() const { return count_; }
    bool usable(int count) const { return count == count_ && process_ == getpid(); }
    bool inherited() const { return process_ != getpid(); }

    void run(const std::function<void(int, int)>& job) {
        job_ = &job;
        busy_.store(count_ - 1, std::memory_order_relaxed);
        {
            // Under the lock, so that no worker goes to sleep between looking and waiting.
            std::lock_guard<std::mutex> lock(mutex_);
            round_.fetch_add(1, std::memory_order_release);
        }
        if (sleeping_.load() > 0) wake_.notify_all();
        job(0, count_);
        for (int look = 0; busy_.load(std::memory_order_acquire) > 0; ++look) {
            relax();
            if (look > LOOKS) std::this_thread::yield();
        }
    }

private:
    void work(int index) {
        for (unsigned seen = 0;;) {
            wait_for_other_than(seen);
            seen = round_.load(std::memory_order_acquire);
            if (ending_) return;
            (*job_)(index, count_);
            busy_.fetch_sub(1, std::memory_order_release);
        }
    }

    void wait_for_other_than(unsigned seen) {
        for (int look = 0; look < LOOKS; ++look) {
            if (round_.load(std::memory_order_acquire) != seen) return;
            relax();
        }
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_.fetch_add(1);
        wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
        sleeping_.fetch_sub(1);
    }

    const int count_;
    const int process_;
    const std::function<void(int, int)>* job_ = nullptr;
    std::atomic<unsigned> round_{0};
    std::atomic<int> busy_{0};
    std::atomic<int> sleeping_{0};
    bool ending_ = false;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::thread> workers_;
};

std::mutex turn;
int wanted = 0;
// Never destroyed: at exit its threads may be gone, as after a fork, or at work for a thread that nobody waits for.
Pool* pool = nullptr;

Pool& ready_pool() {
    const int count = wanted > 0 ? wanted : int(std::max(1u, std::thread::hardware_concurrency()));
    if (pool && pool->usable(count)) return *pool;
    if (pool && !pool->inherited()) delete pool;  // an inherited one's threads stayed in the parent process
    pool = new Pool(count);
    return *pool;
}

}  // namespace

void set_threads(int count) {
    std::lock_guard<std::mutex> lock(turn);
    wanted = count;
}

int threads() {
    std::lock_guard<std::mutex> lock(turn);
    return wanted > 0 ? wanted : int(std::max(1u, std::thread::hardware_concurrency()));
}

void together(const std::function<void(int)>& prepare, const std::function<void(int, int)>& job) {
    std::lock_guard<std::mutex> lock(turn);
    Pool& ready = ready_pool();
    prepare(ready.count());
    ready.run(job);
}

void together(const std::function<void(int, int)>& job) {
    together([](int) {}, job);
}

}  // namespace pumice
