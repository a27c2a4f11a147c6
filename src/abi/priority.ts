/** setpriority(2) and ioprio_set(2) (include/uapi/linux/resource.h, include/uapi/linux/ioprio.h). */
export const PRIO_PROCESS = 0;
export const IOPRIO_WHO_PROCESS = 1;
export const IOPRIO_CLASS_SHIFT = 13;
/** The class for which CAP_SYS_ADMIN is asked. */
export const IOPRIO_CLASS_RT = 1;
